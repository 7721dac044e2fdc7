"""The place to practise: a real OpenBao, a stand-in of Scaleway, three applications with consumers and a daemon, until they are stopped.

``supervisor`` is the process that holds them all, ``playground`` is what it holds, ``client`` is how commands ask it.
"""
