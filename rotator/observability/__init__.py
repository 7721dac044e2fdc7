"""What the daemon reports: events, logs, metrics and notifications."""
