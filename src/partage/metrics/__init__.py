"""Keeps measurements where all processes of a program can read them, and writes them in Prometheus' format."""
