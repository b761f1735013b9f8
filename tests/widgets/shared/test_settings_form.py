"""The form that is made from a settings class. Needs Qt and a screen."""

import pytest

pytest.importorskip("PyQt6")
pytestmark = pytest.mark.gui


@pytest.fixture
def form_of(qtbot):
    from napari_smlm_diffusion.widgets.shared.settings_form import SettingsForm

    def make(kind, names, empty=None):
        form = SettingsForm(kind, names, empty)
        qtbot.addWidget(form)
        form.said = []
        form.changed.connect(form.said.append)
        return form

    return make


def test_a_number_has_its_unit_and_an_empty_one_is_none(form_of):
    from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings

    form = form_of(LocalizeSettings, ("pixel_size_nm", "batch"), {"pixel_size_nm": "not known"})
    line = form.fields["pixel_size_nm"]
    assert form.layout_.labelForField(line).text() == "Pixel size (nm)"
    assert line.placeholderText() == "not known"
    assert "width of one camera pixel" in line.toolTip()
    form.set_values({"pixel_size_nm": 107.5, "batch": 4})
    assert form.values() == {"pixel_size_nm": "107.5", "batch": "4"} and not form.said
    for text in ("1e2x", "abc"):
        line.setText(text)
        assert not line.hasAcceptableInput()
    line.clear()
    line.editingFinished.emit()
    line.editingFinished.emit()  # the cursor leaves once more
    assert form.said == ["pixel_size_nm"]
    assert form.values() == {"batch": "4"}


def test_a_file_can_be_typed_or_chosen(form_of, monkeypatch, tmp_path):
    from magicgui.widgets import FileEdit
    from qtpy.QtWidgets import QPushButton

    from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings

    form = form_of(LocalizeSettings, ("camera",))
    form.fields["camera"].setText("camera.json")
    form.fields["camera"].editingFinished.emit()
    assert form.value("camera") == "camera.json" and form.said == ["camera"]
    chosen = tmp_path / "other.json"
    (button,) = form.findChildren(QPushButton)
    edit = button.parent()._magic_widget
    assert isinstance(edit, FileEdit)
    monkeypatch.setattr(edit, "_show_file_dialog", lambda *_, **__: str(chosen))
    button.click()
    assert form.value("camera") == str(chosen) and form.said == ["camera"] * 2
    monkeypatch.setattr(edit, "_show_file_dialog", lambda *_, **__: None)  # cancelled
    button.click()
    assert form.value("camera") == str(chosen) and len(form.said) == 2


def test_choices_and_checks(form_of):
    from napari_smlm_diffusion.postprocessing.fourier_ring import RingSettings
    from napari_smlm_diffusion.postprocessing.picture import PictureSettings

    form = form_of(PictureSettings, ("by",))
    box = form.fields["by"]
    assert box.count() > 1 and box.toolTip()
    box.setCurrentIndex(box.count() - 1)
    assert PictureSettings(**form.values()).by == box.currentText() and form.said == ["by"]
    form = form_of(RingSettings, ("unlinked",))
    for wanted in (True, False):
        form.fields["unlinked"].setChecked(wanted)
        assert RingSettings(**form.values()).unlinked is wanted
    form.set_values({"unlinked": True})
    assert form.fields["unlinked"].isChecked() and form.said == ["unlinked"] * 2
