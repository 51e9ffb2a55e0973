"""Hooks into trainers: names and hooks only, no arithmetic. Each host is imported where it is used."""
