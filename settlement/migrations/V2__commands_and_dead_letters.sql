-- Dead letters are decided about: replayed or discarded, once.
ALTER TABLE dead_letter
    ADD COLUMN settled_epoch bigint,                        -- of the sale at the record's first place: lower epochs were void
    ADD COLUMN resolution    text,                          -- what the last decision came to
    ADD COLUMN decided_at    timestamptz,
    ADD CONSTRAINT dead_letter_state
        CHECK (state IN ('undecided', 'duplicate', 'replayed', 'discarded'));
CREATE INDEX dead_letter_by_state ON dead_letter (state, id);

ALTER TABLE customer_order
    ADD CONSTRAINT cancelled_for_a_reason CHECK ((status = 'cancelled') = (cancel_reason IS NOT NULL));
