"""Pure decisions: an observation goes in, one step comes out."""
