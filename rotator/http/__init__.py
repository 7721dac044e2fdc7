"""One HTTP client for every service: a request and its whole answer within one deadline, or one
kind of failure.

Vault and the providers share it, so that both have the same deadlines, TLS, connections and limits.
Addresses, headers, proxies and errors are those of httpx; the engine is h11 on the network streams
of httpcore (docs/decisions/0033). It differs from a client of httpx:

- the deadline of a request covers everything: name look-up, waiting for a connection, connecting,
  TLS, sending, headers and body. httpx bounds each read separately, which a server that sends one
  byte a second can extend for ever;
- no redirect is followed (that would forward the token), nothing is taken from the environment, and
  cookies are not kept;
- the answer has a size limit and is never decompressed;
- nothing is ever sent twice, and a failure says whether the request may have been executed.

::

    client = HttpClient(timeout=timedelta(seconds=10), connections=8)
    try:
        answer = client.request("GET", "https://vault.example.com:8200/v1/sys/health")
    except HttpFailure as failure:
        failure.sent, failure.kind, str(failure)
    answer.status, answer.headers.get("date"), answer.body, answer.json()

An answer of any status is an answer; the caller interprets it.
"""

from rotator.http.client import HttpClient, HttpResponse, ResponseObserver
from rotator.http.failures import HttpFailure
from rotator.http.service_clock import ServiceClock

__all__ = ["HttpClient", "HttpFailure", "HttpResponse", "ResponseObserver", "ServiceClock"]
