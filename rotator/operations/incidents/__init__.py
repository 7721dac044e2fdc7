"""Reports of incidents, from ledgers, the provider's key list and its audit trail."""
