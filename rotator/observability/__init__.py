"""Events, logs, metrics and notifications."""
