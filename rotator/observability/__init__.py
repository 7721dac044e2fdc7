"""What is told to the outside: events, logs, metrics and notifications."""
