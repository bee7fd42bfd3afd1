// The room of Margin; see Docs/Architecture.md.
