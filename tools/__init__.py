"""What looks at the project from outside; nothing of it is installed."""
