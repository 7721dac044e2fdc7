"""Small pure helpers; nothing here knows the domain."""
