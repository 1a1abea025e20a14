"""Choice of a rescaling factor under limits, and Pareto fronts; reads records only."""

__all__: list[str] = []
