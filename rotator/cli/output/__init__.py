"""What the command line prints: tables, timelines, progress and results."""
