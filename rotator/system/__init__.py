"""What the operating system offers: sd_notify, journald, sockets, users and process identity."""
