"""The place to practise, which stays until it is stopped.

A real OpenBao, a stand-in of Scaleway, three applications with consumers, and the daemons of two
machines. ``supervisor`` is the process that holds them all, ``playground`` is what it holds,
``client`` is how commands ask it, and ``tools`` are the commands of an operator beside ``rotator``.
"""
