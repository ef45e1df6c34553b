import { type Command, EXIT } from '../command.ts'
import { jsonText } from '../json-text.ts'
import { print } from '../terminal.ts'
import { HELP } from './help.ts'
import { readLoadOptions } from './options.ts'
import { runLoad } from './run.ts'
import { summaryOf } from './summary.ts'

/** Opens many streams, and measures their events. */
export const load: Command = {
  help: HELP,
  async run(args, terminal) {
    const options = readLoadOptions(args)
    // The process exits with this status if the reader of a pipe closes it before the result.
    process.exitCode = EXIT.failed
    const report = await runLoad(options, terminal)
    const status = report.thresholds.every(({ isMet }) => isMet) ? EXIT.ok : EXIT.failed
    process.exitCode = status
    await print(terminal.out, options.isJson ? jsonText(report) : summaryOf(report))
    return status
  },
}
