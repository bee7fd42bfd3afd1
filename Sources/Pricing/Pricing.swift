// The room of Pricing; see Docs/Architecture.md.
