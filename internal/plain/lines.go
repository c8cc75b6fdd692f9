package plain

import "reflect"

// Lines returns a copy of v in which every text is a Line, however deep: the one place where what is shown to a person
// is made fit for a terminal. It follows structs, slices, arrays, maps and pointers through exported fields.
func Lines[T any](v T) T {
	out := reflect.New(reflect.TypeFor[T]()).Elem()
	out.Set(reflect.ValueOf(&v).Elem())
	lines(out)
	return out.Interface().(T)
}

// lines changes v, which is a copy that nobody else has.
func lines(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(Line(v.String()))
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				lines(f)
			}
		}
	case reflect.Array:
		if holdsText(v.Type().Elem()) {
			for i := range v.Len() {
				lines(v.Index(i))
			}
		}
	case reflect.Slice:
		if v.IsNil() || !holdsText(v.Type().Elem()) {
			return
		}
		own := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(own, v)
		for i := range own.Len() {
			lines(own.Index(i))
		}
		v.Set(own)
	case reflect.Pointer:
		if v.IsNil() || !holdsText(v.Type().Elem()) {
			return
		}
		own := reflect.New(v.Type().Elem())
		own.Elem().Set(v.Elem())
		lines(own.Elem())
		v.Set(own)
	case reflect.Map:
		if v.IsNil() || !holdsText(v.Type().Key()) && !holdsText(v.Type().Elem()) {
			return
		}
		own := reflect.MakeMapWithSize(v.Type(), v.Len())
		for it := v.MapRange(); it.Next(); {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			key.Set(it.Key())
			value.Set(it.Value())
			lines(key)
			lines(value)
			own.SetMapIndex(key, value)
		}
		v.Set(own)
	}
}

// holdsText leaves out what holds numbers alone, of which there is much.
func holdsText(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Struct, reflect.Slice, reflect.Array, reflect.Pointer, reflect.Map:
		return true
	}
	return false
}
