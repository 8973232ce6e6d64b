"""Many patients on Apache Spark: the stages of `engine.batch` between the shuffles of a cluster."""
