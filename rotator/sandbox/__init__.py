"""What a person needs to try everything on one machine: a real OpenBao and a stand-in of Scaleway, and the demonstration."""
