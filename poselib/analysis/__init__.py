"""What a notebook asks of trained systems: comparisons, error cases, saliency, embeddings.

In all of it ``options`` say how images are presented to a network, and ``device`` is where it runs:
where its weights are if not given.
"""
