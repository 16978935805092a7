"""Slow, independent implementations that the tests compare with."""
