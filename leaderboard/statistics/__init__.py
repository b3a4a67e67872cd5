"""What records support: confidence intervals, paired differences, ranks, context need."""
