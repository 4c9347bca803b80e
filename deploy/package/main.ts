/** `npm run package [-- DIRECTORY]`: writes the endpoint archive, into `dist/` unless told otherwise. */
import { join } from "node:path";
import { writeArchive } from "./archive.ts";

const directory = process.argv[2] ?? join(import.meta.dirname, "../../dist");
const { path, sizeBytes } = await writeArchive(directory);
console.log(`${path}  ${(sizeBytes / 1024 / 1024).toFixed(1)} MiB`);
