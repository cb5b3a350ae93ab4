"""Authorisation: oslo.policy rules with Glance's names, so that operators' policy files keep working."""
