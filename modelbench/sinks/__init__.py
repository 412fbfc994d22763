"""Where results go: terminal, files, report, MLflow."""
