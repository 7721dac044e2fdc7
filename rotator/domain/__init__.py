"""Values and contracts of the domain. No I/O, no library, no decision."""
