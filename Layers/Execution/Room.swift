// The room of Execution.
