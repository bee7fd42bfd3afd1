// The room of Settlement.
