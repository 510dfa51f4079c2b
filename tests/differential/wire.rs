//! Jute as both servers speak it, written a second time: a mistake of our codec must not hide
//! itself.

/// Builds the body of a frame.
#[derive(Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn int(&mut self, value: i32) -> &mut Writer {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn long(&mut self, value: i64) -> &mut Writer {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub fn truth(&mut self, value: bool) -> &mut Writer {
        self.0.push(u8::from(value));
        self
    }

    pub fn buffer(&mut self, bytes: Option<&[u8]>) -> &mut Writer {
        match bytes {
            None => self.int(-1),
            Some(bytes) => {
                self.int(i32::try_from(bytes.len()).expect("a frame is small"));
                self.0.extend(bytes);
                self
            }
        }
    }

    pub fn text(&mut self, text: Option<&str>) -> &mut Writer {
        self.buffer(text.map(str::as_bytes))
    }

    pub fn count(&mut self, count: usize) -> &mut Writer {
        self.int(i32::try_from(count).expect("a frame is small"))
    }

    /// What was written, with its length before it.
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = Writer::default();
        frame.buffer(Some(&self.0));
        frame.0
    }
}

/// Reads the body of a frame; `None` where it ends too early or holds what it must not.
#[derive(Clone)]
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub fn int(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    pub fn long(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    pub fn truth(&mut self) -> Option<bool> {
        let [byte] = self.take()?;
        (byte < 2).then_some(byte == 1)
    }

    /// Bytes or null.
    pub fn buffer(&mut self) -> Option<Option<Vec<u8>>> {
        let length = self.int()?;
        if length == -1 {
            return Some(None);
        }
        let (head, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(Some(head.to_vec()))
    }

    /// Text or null.
    pub fn text(&mut self) -> Option<Option<String>> {
        match self.buffer()? {
            None => Some(None),
            Some(bytes) => String::from_utf8(bytes).ok().map(Some),
        }
    }

    /// A list of what `one` reads; null is `None`.
    pub fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Option<Vec<T>>> {
        let count = self.int()?;
        if count == -1 {
            return Some(None);
        }
        let count = u32::try_from(count).ok()?;
        (0..count)
            .map(|_| one(self))
            .collect::<Option<_>>()
            .map(Some)
    }
}
