#!/usr/bin/env node
/** The command line. */
process.stderr.write("errand: not built yet\n");
