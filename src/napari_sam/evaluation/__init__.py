"""How good a model is on ground truth: a simulated user, baselines, scores and tables of them."""
