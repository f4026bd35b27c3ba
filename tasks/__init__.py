"""Tasks: effects. One file, one outside tool; heavy tools are imported where they are used."""
