"""What happened in an emergency, for those who were not there: put together from ledgers, the
provider's list and its trail."""
