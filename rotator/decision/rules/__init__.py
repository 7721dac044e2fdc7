"""The rules of `decide`, one module for each concern."""
