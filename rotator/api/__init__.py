"""The control API on two Unix sockets, its client, and the webhook for external systems.

The client does not import the server libraries (Starlette, uvicorn). The daemon imports them only
to open a listener.
"""
