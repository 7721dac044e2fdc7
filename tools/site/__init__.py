"""The configuration of the site of the documents."""
