"""Interfaces of the operating system: sd_notify, journald, sockets, users and process identity."""
