import type {
  FanOutMessage,
  FilterErrorMessage,
  PublishEndMessage,
  PublishErrorMessage,
  PublishStartMessage,
} from '../hub/diagnostics.ts'
import type { AuthorizeErrorMessage, LimitErrorMessage } from '../lifecycle/diagnostics.ts'
import type { RunEndMessage, RunStartMessage } from '../runs/diagnostics.ts'
import type { StoreSkipMessage, StoreStateMessage } from '../stores/diagnostics.ts'
import type {
  StreamBeginMessage,
  StreamCloseMessage,
  StreamDrainMessage,
  StreamEventsMessage,
  StreamGapMessage,
  StreamMessage,
  StreamOverflowMessage,
  StreamReplayMessage,
  StreamTransportMessage,
} from '../stream/diagnostics.ts'

/** The type of the messages of each channel, for a subscriber of `node:diagnostics_channel`. */
export interface DiagnosticsMessages {
  'spillway:stream:open': StreamMessage
  'spillway:stream:begin': StreamBeginMessage
  'spillway:stream:close': StreamCloseMessage
  'spillway:stream:overflow': StreamOverflowMessage
  'spillway:stream:conflate': StreamEventsMessage
  'spillway:stream:discard': StreamEventsMessage
  'spillway:stream:drain': StreamDrainMessage
  'spillway:stream:replay': StreamReplayMessage
  'spillway:stream:transport': StreamTransportMessage
  'spillway:stream:gap': StreamGapMessage
  'spillway:authorize:error': AuthorizeErrorMessage
  'spillway:limit:error': LimitErrorMessage
  'spillway:publish:start': PublishStartMessage
  'spillway:publish:end': PublishEndMessage
  'spillway:publish:error': PublishErrorMessage
  'spillway:channel:fan-out': FanOutMessage
  'spillway:filter:error': FilterErrorMessage
  'spillway:run:start': RunStartMessage
  'spillway:run:end': RunEndMessage
  'spillway:store:state': StoreStateMessage
  'spillway:store:skip': StoreSkipMessage
}
