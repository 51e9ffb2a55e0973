"""Entropy control for LLM reinforcement learning."""
