// The room of Instruments; see Docs/Architecture.md.
