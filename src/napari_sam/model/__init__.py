"""The Segment Anything Model in plain PyTorch; imports torch and itself, nothing else."""
