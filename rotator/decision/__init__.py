"""Pure decisions: from an observation to one step."""
