"""Who runs: orders, thresholds and gates, fitted on what students give as deployed integers."""
