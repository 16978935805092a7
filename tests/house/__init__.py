"""Tests of the house: layers, names, documentation and packaging."""
