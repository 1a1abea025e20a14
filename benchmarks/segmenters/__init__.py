"""The study of cost-adjustable segmenters: trainings, their evaluation, and tables."""
