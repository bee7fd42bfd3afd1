// The room of Clearing.
