"""The doors of the daemon: two Unix sockets on which people and programs ask and order, and the webhook for machines outside.

``client`` is the other side of the sockets, for the command line. What serves (Starlette, uvicorn) is imported only by the daemon
and only when a door is to be opened.
"""
