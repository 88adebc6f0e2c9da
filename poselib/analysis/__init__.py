"""What a notebook asks of trained systems: comparisons, error cases, saliency, embeddings."""
