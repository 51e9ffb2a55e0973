"""Claims on the theory of entropy control in reinforcement learning of language models, and the toy figure."""
