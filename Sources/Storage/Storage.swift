// The room of Storage; see Docs/Architecture.md.
