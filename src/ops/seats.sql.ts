/** The channel on which every change of seats and bans is told; a constant, since LISTEN takes no parameters. */
export const listenSeatChangesSql = 'listen seat_changes';
